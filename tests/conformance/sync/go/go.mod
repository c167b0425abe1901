module gort/conformance/sync

go 1.22
