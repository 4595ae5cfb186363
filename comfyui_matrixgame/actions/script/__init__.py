"""The script language: text to a timeline, and back."""
