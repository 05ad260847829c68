"""What the computer gives: memory, threads, folders, and the files that come with the package."""
