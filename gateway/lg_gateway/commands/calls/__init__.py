"""`lg-gateway tools`, `call`, `resources`, `prompts`: what a client sees and does, at a terminal."""
