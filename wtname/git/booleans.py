"""The words that git takes for yes and for no."""

YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}
