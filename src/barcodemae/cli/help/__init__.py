"""What the help of every command says, and how."""
