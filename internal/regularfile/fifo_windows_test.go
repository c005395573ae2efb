package regularfile

import "testing"

func makeFIFO(*testing.T, string) {}
