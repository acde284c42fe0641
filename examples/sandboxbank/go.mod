module example.org/sandboxbank

go 1.26.0
