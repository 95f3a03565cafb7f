// What the parts of the probe share. See main.c.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// verdict prints one line of the table: what was tried and what came of it.
void verdict(const char *what, const char *result);

// result is "allowed", or the name of the error.
const char *result(long ret);

void calls(void);
void files(void);
void process(void);

int race(const char *a, const char *b);
int spy(const char *secret);
