"""The Kubernetes API: how it is asked and watched, and what is known of the objects in it. Decides nothing."""
