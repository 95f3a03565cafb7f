package usage

import (
	"os"
	"testing"

	"gotest.tools/v3/assert"
)

const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 18446744073709551615      12    3    4    5     6          7         8      900      10   11   12    13    14      15         16
eth1:1 2 3 4 5 6 7 8 9 10 11 12
bad0: 1 2
`

func TestCountersOfInterfaces(t *testing.T) {
	assert.DeepEqual(t, netDev([]byte(dev), []string{"eth0", "eth1", "eth2", "bad0"}), map[string]Interface{
		"eth0": {RxBytes: 18446744073709551615, RxPackets: 12, RxErrors: 3, RxDropped: 4, TxBytes: 900, TxPackets: 10, TxErrors: 11, TxDropped: 12},
		"eth1": {RxBytes: 1, RxPackets: 2, RxErrors: 3, RxDropped: 4, TxBytes: 9, TxPackets: 10, TxErrors: 11, TxDropped: 12},
	})
	_, there := Interfaces(os.Getpid(), []string{"lo"})["lo"]
	assert.Check(t, there)
	assert.Equal(t, len(Interfaces(1<<30, []string{"lo"})), 0)
}
