"""What everything else stands on: errors, validation, encoding, splitting, work side by side."""
