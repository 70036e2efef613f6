package main

import "strings"

// nearest returns the one of names that word was probably meant to be, or "" if none is near: at most one edit away for each
// three letters. An edit adds, drops or changes a letter or swaps two neighbours.
func nearest(word string, names []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, name := range names {
		if d := edits(strings.ToLower(word), name); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits returns the optimal string alignment distance of a and b, in bytes.
func edits(a, b string) int {
	var before []int // the row of a[:i-2]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// didYouMean returns the question that names the nearest of names, or otherwise if none is near.
func didYouMean(word, prefix string, names []string, otherwise string) string {
	if name := nearest(word, names); name != "" {
		return "did you mean " + prefix + name + "?"
	}
	return otherwise
}
