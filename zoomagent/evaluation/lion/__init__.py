"""What LION's parts are worth: arms of equal size taught alike, and asked alike."""
