"""What a text says, told without a model: its words and their stems, language, names, times and passages."""
