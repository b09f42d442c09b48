"""Ways to compute with a masked weight; ``base`` lists them, and says what each must do."""
