/*
 * Asks for what a pod would ask for, from a network namespace of its own: `interception-probe
 * ADDRESS/PATH...` says `in` once it is inside, has `ip -batch` do there what comes on standard input, and
 * then says for each argument the status line of the answer, or why there was none.
 *
 * A program of its own, because Node can't enter a namespace.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WHOLE_SECONDS = 10, PORT = 80 };
static const struct timeval PATIENCE = {.tv_usec = 500000};

static int configure(void) {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("ip", "ip", "-batch", "-", NULL);
    perror("ip");
    _exit(127);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

static int connected(const char *address) {
  struct sockaddr_in ip = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
  const int is4 = inet_pton(AF_INET, address, &ip.sin_addr) == 1;
  if (!is4 && inet_pton(AF_INET6, address, &ip6.sin6_addr) != 1) return errno = EINVAL, -1;
  const int to = socket(is4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (to < 0) return -1;
  setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof PATIENCE);
  setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof PATIENCE);
  const int failed = is4 ? connect(to, (struct sockaddr *)&ip, sizeof ip)
                         : connect(to, (struct sockaddr *)&ip6, sizeof ip6);
  return failed == 0 ? to : -1;
}

/* The first line of the answer; an empty one with the reason in errno. */
static void ask(const char *wanted, char *line, size_t size) {
  char address[64] = "";
  char request[256];
  const size_t length = strcspn(wanted, "/");
  line[0] = '\0';
  if (length < sizeof address) memcpy(address, wanted, length);
  const int written = snprintf(request, sizeof request,
                               "GET %s HTTP/1.1\r\nHost: rolecall\r\nConnection: close\r\n\r\n",
                               wanted + length);
  const int to = connected(address);
  if (to < 0 || send(to, request, written, MSG_NOSIGNAL) != written) return;
  errno = 0;
  const ssize_t got = recv(to, line, size - 1, MSG_WAITALL);
  line[got > 0 ? got : 0] = '\0';
  line[strcspn(line, "\r\n")] = '\0';
  close(to);
}

int main(int argc, char **argv) {
  /* What it made goes with it, so it goes with the agent, and in any case. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(WHOLE_SECONDS);
  if (unshare(CLONE_NEWNET) != 0) {
    perror("a network namespace");
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("in");
  if (configure() != 0) return 1;
  for (int i = 1; i < argc; i++) {
    char line[512];
    ask(argv[i], line, sizeof line);
    const int silent = errno == 0 || errno == EINPROGRESS || errno == EAGAIN;
    const char *why = silent ? "no answer" : strerror(errno);
    printf("%s %s\n", argv[i], line[0] != '\0' ? line : why);
  }
  return 0;
}
