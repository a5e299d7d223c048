/* The image has no shell: this starts Node on the bundle, and passes on what it was called with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Probes come every few seconds, and Node costs a hundred times what looking at a file does. */
static int probe(const char *path, int seconds, const char *says) {
  struct stat file;
  if (stat(path, &file) != 0 || time(NULL) - file.st_mtime > seconds) {
    fprintf(stderr, "%s is missing or older than %d s\n", path, seconds);
    return 1;
  }
  char text[1024] = "";
  FILE *from = fopen(path, "r");
  if (from == NULL) return 1;
  text[fread(text, 1, sizeof text - 1, from)] = '\0';
  fclose(from);
  if (strncmp(text, says, strlen(says)) == 0) return 0;
  fputs(text, stderr);
  return 1;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "is-ready") == 0) return probe(argv[2], 10, "ready\n");
  if (argc == 3 && strcmp(argv[1], "is-alive") == 0) return probe(argv[2], 30, "");

  /* Young objects die at once here; a small nursery keeps the process small under load. */
  char *before[] = {"node", "--max-semi-space-size=2", "/opt/rolecall/rolecall.cjs"};
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
