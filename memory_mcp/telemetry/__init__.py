"""What can be read off a running memory: how long its calls take, their spans, and what its parts count."""
