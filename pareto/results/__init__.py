"""What is told of trials and studies, in numbers, tables and files."""
