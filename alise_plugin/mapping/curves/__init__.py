"""Curves of pixels over the year: values on any day, and the seasons that they show."""
