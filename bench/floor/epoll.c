/*
 * What one process on this kernel can do at most: answers every request with the same bytes, from one
 * thread, after looking for nothing but the end of the head and `Connection: close`.
 *
 *   epoll ANSWER_FILE
 *
 * Says the port that it was given, on loopback, and runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define FILES_MAX 65536

static char answer[65536];
static size_t answer_length;
static char *heads[FILES_MAX];
static size_t held[FILES_MAX];

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* Whether the connection goes on. */
static int serve(int fd) {
  if (heads[fd] == NULL) heads[fd] = malloc(HEAD_MAX + 1);
  if (heads[fd] == NULL) return 0;
  const ssize_t got = recv(fd, heads[fd] + held[fd], HEAD_MAX - held[fd], 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  held[fd] += (size_t)got;
  heads[fd][held[fd]] = '\0';
  if (memmem(heads[fd], held[fd], "\r\n\r\n", 4) == NULL) return held[fd] < HEAD_MAX;
  const int is_last = strcasestr(heads[fd], "\r\nconnection: close\r\n") != NULL;
  held[fd] = 0;
  if (send(fd, answer, answer_length, MSG_NOSIGNAL) != (ssize_t)answer_length) return 0;
  return !is_last;
}

int main(int count, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int file = count == 2 ? open(argv[1], O_RDONLY) : -1;
  const ssize_t length = read(file, answer, sizeof answer);
  if (length <= 0) die("ANSWER_FILE");
  answer_length = (size_t)length;
  close(file);

  const int on = 1;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (listen(listener, 511) != 0) die("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &size) != 0) die("getsockname");
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);

  const int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) != 0) die("epoll_ctl");
  for (;;) {
    struct epoll_event events[256];
    const int ready = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      const int fd = events[i].data.fd;
      if (fd != listener) {
        if (!serve(fd)) close(fd);
        continue;
      }
      const int opened = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (opened < 0) continue;
      if (opened >= FILES_MAX) {
        close(opened);
        continue;
      }
      setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      held[opened] = 0;
      struct epoll_event added = {.events = EPOLLIN, .data.fd = opened};
      if (epoll_ctl(poll, EPOLL_CTL_ADD, opened, &added) != 0) close(opened);
    }
  }
}
