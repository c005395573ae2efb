module github.com/everythingstays/es/interop

go 1.26.0

require github.com/everythingstays/es v0.0.0

replace github.com/everythingstays/es => ../
