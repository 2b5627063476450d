"""The effect before and after: difference in differences."""
