"""The JSIP stack: messages, syntax, transactions, sessions. It knows no reactor and no socket, only a clock."""
