"""Learning-rate schedules, counted in optimizer steps."""
