"""Files as strangers could send them: good ones, mutated, and what reading them may do."""
