"""Audit of references: which labels are likely wrong, which sequences are not what they seem."""
