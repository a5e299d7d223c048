/* The image has no shell: this starts Node on the bundle, and passes on what it was called with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  /* Young objects die at once here; a small nursery keeps the process small under load. */
  char *before[] = {"node", "--max-semi-space-size=1", "/opt/rolecall/rolecall.cjs"};
  const int count = sizeof before / sizeof before[0];
  char **all = calloc(count + argc + 1, sizeof *all);
  if (all == NULL) return 1;
  memcpy(all, before, sizeof before);
  for (int i = 1; i < argc; i++) all[count + i - 1] = argv[i];
  const char *slash = strrchr(argv[0], '/');
  setenv("ROLECALL_PROGRAM", slash ? slash + 1 : argv[0], 1);
  /* One heap for all threads: they allocate little, and each heap of their own stays half empty. */
  setenv("MALLOC_ARENA_MAX", "1", 0);
  execv("/usr/local/bin/node", all);
  perror("rolecall: cannot start /usr/local/bin/node");
  return 1;
}
