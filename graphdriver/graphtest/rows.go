package graphtest

import (
	"github.com/jobengine/engine/graphdriver"
)

// Rows gives the whole contract, the simple promises first.
func Rows() []Row {
	var rows []Row
	rows = append(rows, lifeRows()...)
	rows = append(rows, treeRows()...)
	rows = append(rows, applyRows()...)
	rows = append(rows, diffRows()...)
	rows = append(rows, restartRows()...)
	return append(rows, remapRows()...)
}

func kindName(k graphdriver.ChangeKind) string {
	return [...]string{"C", "A", "D"}[k]
}
