"""What a user can ask for, each operation declared once for all fronts."""
