// Package stats puts what containers use into the shape that docker's API has for it.
package stats
