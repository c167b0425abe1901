module gort/conformance/data

go 1.22
