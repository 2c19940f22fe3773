"""What a sandboxed command costs."""
