package tree

import "time"

const requestsPause = time.Millisecond // that work in the background waits when requests have come

func pauseForRequests() { time.Sleep(requestsPause) }
