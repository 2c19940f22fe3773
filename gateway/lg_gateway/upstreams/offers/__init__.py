"""What servers have besides tools: how their answers are read, and what is kept of subscriptions."""
