"""What is searched, and how the next parameters are proposed."""
