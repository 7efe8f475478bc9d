"""What is made from the declarations: documentation and schemas."""
