"""Reports as one HTML file each: verdicts first, then drawings; nothing is fetched from elsewhere."""
