"""What a policy may believe about the future."""
