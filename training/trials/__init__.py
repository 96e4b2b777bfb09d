"""Short trainings side by side: what more steps, more data or another choice would bring."""
