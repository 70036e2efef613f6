package tree

// failpoint is called at each step that a crash or a failing disk could part from the next. It does nothing but in this
// package's tests, which let it fail, wait or end the process.
var failpoint = func(step string) error { return nil }
