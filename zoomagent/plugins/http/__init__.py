"""What every HTTP face needs: guards, listening, turns."""
