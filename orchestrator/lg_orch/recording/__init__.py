"""What happens is said once: masked, journalled, shown; results kept by digest."""
