FROM composer:2 AS vendor
COPY composer.json composer.lock ./
RUN composer install --no-dev --no-scripts --prefer-dist
FROM php:8.3-fpm
RUN docker-php-ext-install pdo_mysql opcache
COPY --from=vendor /app/vendor/ /var/www/vendor/
COPY . /var/www
VOLUME ["/var/www/storage"]
STOPSIGNAL SIGQUIT
