"""How good answers are: computed, by a person's grades, by a judge."""
