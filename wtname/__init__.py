"""A task in words becomes a git branch name and a worktree, offline."""
