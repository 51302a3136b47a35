"""JSON Web Tokens: their claims, and the keys that verify them."""
