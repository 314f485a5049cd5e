"""What would keep an operator from being recorded, or its recordings from being collected."""
