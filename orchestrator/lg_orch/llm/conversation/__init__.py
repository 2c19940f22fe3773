"""What a model is shown, rebuilt from what the run keeps."""
